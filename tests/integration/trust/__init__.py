"""The trust boundary on the real gateway: who may register and how, and what a hostile page achieves."""
