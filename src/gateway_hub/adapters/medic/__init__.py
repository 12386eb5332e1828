"""The CHT Gateway's JSON protocol ("medic"); the SysCo "SMS Gateway" app speaks the same."""
