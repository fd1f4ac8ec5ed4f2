"""What a network sees of an image: DCT tokens or pixels, and the way back."""
