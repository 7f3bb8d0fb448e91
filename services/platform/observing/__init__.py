"""What can be seen of a running program: logs, metrics, traces, readiness."""
