"""Speaking to a pool: from the socket to a session at its master."""
