"""Programs of the peers; each is a process of its own in the peers' environment, without astrohpc."""
