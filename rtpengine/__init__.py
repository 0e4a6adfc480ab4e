"""Client for rtpengine, the media relay that serves as eIMS-AGW.

Knows the ng protocol, the media profiles of a WIC and an IMS leg, and the order of commands a media
session needs. Must not know SIP, Kamailio, the call record or any other package of this project.
"""

import logging

# A library does not decide where its log lines go.
logging.getLogger(__name__).addHandler(logging.NullHandler())
