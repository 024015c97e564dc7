"""One Zarr store from many NetCDF files: reading headers, planning, converting, proving, reading."""
