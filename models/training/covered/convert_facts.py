"""What the card says of the network's input: value = pixel · SCALE + OFFSET."""

SCALE, OFFSET = 1.0 / 127.5, -1.0
