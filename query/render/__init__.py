"""The answers of the library on stdout, each in three forms; nothing here asks the history."""
