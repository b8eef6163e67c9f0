"""What all kinds of run share: their lifecycle, session, engines (Ray is here alone), folder."""
