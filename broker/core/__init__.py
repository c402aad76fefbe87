"""The rules, without socket, clock or thread: (state, request, moment) to replies and rows to write."""
