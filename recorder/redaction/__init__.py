"""What pools say, without their secrets."""
