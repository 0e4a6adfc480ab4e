"""What a restart of Kamailio under two hundred answered calls costs them."""
