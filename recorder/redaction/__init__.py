"""What pools say, without its secrets."""
