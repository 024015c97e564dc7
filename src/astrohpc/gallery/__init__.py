"""The gallery: each augmentation on a real field or spectrum, before and after, with what it kept."""
