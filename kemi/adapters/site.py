"""The site's settings as the decisions want them."""

from __future__ import annotations

from dataclasses import replace

from kemi.core.call.settings import CallSettings
from kemi.core.policy import TargetRules
from kemi.core.registration import RegistrationSettings
from kemi.core.sdp.codecs import OnlyThese
from kemi.settings import Settings
from rtpengine.capabilities import capabilities
from rtpengine.legs import LegKind
from rtpengine.pool import version_from_text


def call_settings(settings: Settings) -> CallSettings:
    """Return what calls need of the site."""
    media = settings.media
    of_site = CallSettings(
        realm=settings.realm,
        ims_host=f"{settings.sip.address}:{settings.sip.port}",
        tls_host=f"{settings.sip.address}:{settings.sip.tls_port}",
        media_address=settings.sip.address,
        audio_codecs=tuple(settings.media.audio_codecs),
        video_codecs=tuple(settings.media.video_codecs),
        feedback_towards_core=settings.media.core_leg.startswith("ims"),
        keys_towards_core=_is_keyed(settings.media.core_leg),
        max_bundle_pages=settings.media.max_bundle_pages,
        prack_s=settings.timers.prack_s,
        update_s=settings.timers.update_s,
        ims_response_s=settings.timers.ims_response_s,
        ims_answer_s=settings.timers.ims_answer_s,
        flow_recovery_s=settings.timers.flow_recovery_s,
        ice_restart_s=settings.timers.ice_restart_s,
        reports_s=settings.timers.reports_s,
        early_media_by_default=settings.media.early_media_by_default,
        session_expires_s=settings.timers.session_expires_s,
        min_se_s=settings.timers.min_se_s,
        network=settings.visited_network,
        access_network_info=settings.registration.access_network_info,
        from_counts=settings.registration.from_counts,
        longest_call_s=settings.policy.longest_call_s,
        trunks={trunk.name: trunk for trunk in settings.trunks},
        targets=TargetRules(settings.policy, settings.realm),
        nodes_with_digits_after_events=frozenset(
            node.name
            for node in media.nodes
            if capabilities(version_from_text(node.version)).digits_after_events
        ),
    )
    return replace(
        of_site,
        profiles={
            one.name: replace(
                of_site,
                audio_codecs=tuple(one.audio_codecs) if one.transcoding else OnlyThese(one.audio_codecs),
                keys_towards_core=_is_keyed(one.core_leg),
            )
            for one in media.profiles
        },
        profile_domains={
            **{domain: one.name for one in media.profiles for domain in one.domains},
            **{trunk.host.lower(): trunk.profile for trunk in settings.trunks if trunk.profile},
        },
    )


def _is_keyed(core_leg: str) -> bool:
    return LegKind(core_leg) is LegKind.TRUNK_SRTP


def registration_settings(settings: Settings) -> RegistrationSettings:
    """Return what registration needs of the site."""
    policy = settings.registration
    return RegistrationSettings(
        realm=settings.realm,
        visited_network=settings.visited_network,
        ims_host=f"{settings.sip.address}:{settings.sip.port}",
        schemes=tuple(policy.schemes),
        digest_protection=policy.digest_protection,
        contact_tags=tuple(policy.contact_tags),
        access_network_info=policy.access_network_info,
        reg_event=settings.home is None,
        flow_by_identity=settings.home is not None,
    )
