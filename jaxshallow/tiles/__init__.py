"""The same formula in tiles and over devices: transformations of any function of the examples.

parts      a function on some of the examples at a time, and the parts put together
chains     tiles on all cores, from threads
host       tiles from memory maps and iterables
streaming  `stream`: tile by tile
jacobians  functions of the examples' Jacobians, which take more memory
sharding   `shard`: over devices
"""

from jaxshallow.tiles.sharding import shard
from jaxshallow.tiles.streaming import faster, stream, tile_size

__all__ = ["faster", "shard", "stream", "tile_size"]
