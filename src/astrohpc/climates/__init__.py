"""What surrogates are made of and judged by: one mean climate a planet, and which planets are for what."""
