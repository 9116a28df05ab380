"""What XAPI says and what it means: sans-I/O, no trio, socket, clock or random in here."""
