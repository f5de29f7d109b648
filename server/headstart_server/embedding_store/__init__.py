"""The embedding store: a frozen encoder reads each distinct row once, ever."""
