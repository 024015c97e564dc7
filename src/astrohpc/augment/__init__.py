"""Augmentation: what may be done to a climate or a spectrum so that it is another one, and what it keeps."""
