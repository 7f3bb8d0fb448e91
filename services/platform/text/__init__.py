"""What people read: languages, sentences, dates, times and durations; docs/glossary.md has the words."""
