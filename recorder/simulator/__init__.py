"""A simulated pool that clients can't tell from a real one. Shares no code with the client."""
