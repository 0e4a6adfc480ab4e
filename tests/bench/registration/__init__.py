"""What registrations cost: REGISTER rates, memory of held pages, and the storm when all of them come back at once."""
