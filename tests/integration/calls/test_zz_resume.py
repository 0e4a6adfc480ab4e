from tests.integration.calls.test_dtmf import *
import asyncio
from dataclasses import replace

class TestResume:
    async def test_digit(self, stage, page, phone):
        media = DeviceMedia(audio_port=phone.port)
        stage.core.script = answers(media)
        call, number = await talking(stage, page, phone, media)
        media = replace(media, event_number=number)
        assert (await press(call, "1")).status == 200
        await phone.until(lambda p: p.digits == "1", what="a digit", timeout_s=5)
        held = await call.ims.reinvite(device_offer(replace(media, version=2, direction="sendonly")))
        assert held.status == 200
        print("HELD", held.body)
        await asyncio.sleep(1)
        back = await call.ims.reinvite(device_offer(replace(media, version=3)))
        assert back.status == 200
        print("BACK", back.body)
        await asyncio.sleep(2.0)
        before = phone.packets if hasattr(phone, "packets") else None
        got = await press(call, "2")
        print("GOT", got.status, warning_of(got))
        await asyncio.sleep(4)
        print("DIGITS", phone.digits, before, phone.packets if hasattr(phone, "packets") else None)
        print([n for n in dir(phone) if not n.startswith("_")])
        assert phone.digits == "12"
