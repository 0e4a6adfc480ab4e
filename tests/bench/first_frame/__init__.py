"""From the answer to the first picture at both ends, with a real browser and a far end that never asks for one."""
