"""What a pool is recorded by while one session lasts: one module for each kind of stream."""

from .common import Epoch, Expected, Recorded
from .every_write import EveryWrite
from .last_states import LastStates

__all__ = ["Epoch", "EveryWrite", "Expected", "LastStates", "Recorded"]
