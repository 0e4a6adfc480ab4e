"""Where a call goes: numbers in one form, and the site's table from (realm, class of user, number) to a destination."""
