"""A folder in here is a program; a plain module is plumbing that all programs stand on."""
