"""Statistics of margins between training methods: numpy and scipy.special only, no torch."""
