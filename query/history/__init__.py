"""The history as a file: its tables, how it is opened, and who may do what in it."""
