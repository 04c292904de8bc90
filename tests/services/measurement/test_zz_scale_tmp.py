"""scale probe"""
import asyncio, time
from stepwell_measurement.app import service as measurement
from stepwell_measurement.tables import READ_SERIES
from tests.support.runtime import *
from tests.services.measurement.scoring import finalized, hear
async def test_measurement(database_of, tmp_path):
    urls=await database_of("measurement")
    async with running(measurement, urls, tmp_path) as rt:
        P=lambda n:{"reference": f"{URLS['screening']}/Patient/p{n}"}
        for week in range(3):
            await asyncio.gather(*(hear(rt,finalized(f"r{week}-{n}", 10+week, week=week, subject=P(n))) for n in range(500)))
        body=READ_SERIES
        q1=body[body.index("RETURN QUERY SELECT k.person, k.code, last")+13:]; q1=q1[:q1.index(";")]
        q2=body[body.index("RETURN QUERY SELECT k.person, k.code, NULL")+13:]; q2=q2[:q2.index(";")]
        async with rt.database.transaction(NORTH) as c:
            for s in ("enable_seqscan","enable_hashjoin","enable_mergejoin"): await c.execute(f"set local {s} to off")
            for q in (q1,q2):
                q=q.replace("tenant_in","$1::text").replace("person_in","$2::text[]").replace("code_in","$3::text[]")
                for r in await c.fetch("EXPLAIN (ANALYZE, BUFFERS OFF) "+q, NORTH, [f"Patient/p{n}" for n in range(500)], ["44261-6"]*500): print(r[0])
