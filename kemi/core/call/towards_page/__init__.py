"""A call towards a page: what it is offered, what it answers, what its caller hears of that."""
