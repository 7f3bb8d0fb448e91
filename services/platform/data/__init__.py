"""Databases, their migrations, and the audit log."""
