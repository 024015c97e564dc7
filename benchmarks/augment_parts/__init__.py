"""What the augmentation benchmark compares with: the same work written with torch's operations."""
