"""From responses of the metadata service to events in AWS's words. The only room that talks to the service."""
