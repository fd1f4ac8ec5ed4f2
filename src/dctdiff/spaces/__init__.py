"""What a network sees of an image: DCT tokens, pixels or latents, and the way back."""
