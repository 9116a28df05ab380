"""What a pool was like at an instant, out of the journal, to be served by the simulator."""
