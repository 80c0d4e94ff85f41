"""API calls: fetch data from other people's servers, one call or up to fifty at once."""
