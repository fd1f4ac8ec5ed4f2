"""What the paper measures without a model: statistics, truncation, upsampling, spectra."""
