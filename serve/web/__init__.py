"""The service and its page: frames in over HTTP, detections out, kept in a store that survives restarts."""
