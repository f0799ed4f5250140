"""The same formula in tiles and over devices: transformations of any function of the examples."""

from jaxshallow.tiles.sharding import shard
from jaxshallow.tiles.streaming import faster, stream, tile_size

__all__ = ["faster", "shard", "stream", "tile_size"]
