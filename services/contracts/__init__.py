"""What programs agree on beside proto/: names of events, numbers of meetings, rules of recurrence, calendar entries."""
