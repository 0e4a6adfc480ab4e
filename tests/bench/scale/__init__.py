"""What a call and a registration cost when few and when many others are held."""
