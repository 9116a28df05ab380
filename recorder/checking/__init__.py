"""`xentrail check`: what a recorder needs, tried without recording."""
