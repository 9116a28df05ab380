"""Who did it: the lines of the audit trail, and what they say of tasks and changes."""
