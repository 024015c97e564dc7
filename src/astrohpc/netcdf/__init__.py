"""The classic NetCDF format itself, which the library reads too trustingly."""
