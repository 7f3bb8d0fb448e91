"""What starts and keeps an installation: its programs, ports, state directory, bus and backups.

It says nothing to people. The command (services/cli) is built on it: errors say what happened, and it has the words.
"""
