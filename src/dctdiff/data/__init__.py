"""Images: where they come from, how they are cropped, stored and read."""
