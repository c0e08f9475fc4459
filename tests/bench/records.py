"""Seeded, realistic records for benchmarks: 1 patient to 4 readings.

Names follow a Zipf law, villages and streets too, as registers of real clinics
do; readings are Gaussian (148/90, sd 17/10) at clinic hours over three years;
ids are random (version 4). The same seed gives the same records anywhere.

SPDX-License-Identifier: Apache-2.0
"""
import bisect
import itertools
import random

FIRST = ("Asha Lakshmi Sunita Anita Rekha Meena Kavita Geeta Ramesh Suresh Rajesh Mahesh Ganesh Vijay "
         "Sanjay").split()
LAST = "Devi Kumar Singh Sharma Patel Reddy Gowda Yadav Das Khan Naik Rao Shetty Pillai Bai".split()
ONSETS = "b bh ch d dh g h j k kh l m n p r s sh t v y".split()
VOWELS = "a aa e ee i o u ai".split()
DAY_MS = 86_400_000
START_MS = 1_672_531_200_000


class Zipf:
    """Ranks 0..count-1 with probability proportional to 1 / (rank + 1) ** s."""

    def __init__(self, count, s):
        self.sums = list(itertools.accumulate((rank + 1) ** -s for rank in range(count)))

    def pick(self, rnd):
        return bisect.bisect_left(self.sums, rnd.random() * self.sums[-1])


def _words(rnd, count, head=()):
    words = list(head)
    while len(words) < count:
        words.append("".join(rnd.choice(ONSETS) + rnd.choice(VOWELS)
                             for _ in range(rnd.randint(2, 3))).capitalize())
    return words


def _uuid4(rnd):
    value = bytearray(rnd.randbytes(16))
    value[6] = value[6] & 0x0f | 0x40
    value[8] = value[8] & 0x3f | 0x80
    return bytes(value)


def _clinic_time(rnd):
    return START_MS + rnd.randrange(3 * 365) * DAY_MS + rnd.randrange(9 * 3_600_000, 17 * 3_600_000)


class Register:
    """The patients and readings of one region."""

    def __init__(self, patients, seed=1, facilities=(), users=60):
        rnd = random.Random(seed)
        first, last = _words(rnd, 1500, FIRST), _words(rnd, 2500, LAST)
        villages, streets = _words(rnd, 66), _words(rnd, 600)
        laws = {n: Zipf(n, s) for n, s in ((1500, 1.0), (2500, 1.001), (66, .8), (600, .7))}
        staff = [_uuid4(rnd) for _ in range(users)]
        clinics = list(facilities) or [b""]
        clinic_law = Zipf(len(clinics), .8)
        self.patients, self.phones, self.readings = [], [], []
        for _ in range(patients):
            id, clinic = _uuid4(rnd), clinics[clinic_law.pick(rnd)]
            at, street = _clinic_time(rnd), streets[laws[600].pick(rnd)]
            age = rnd.randint(25, 90)
            born = rnd.random() < .3
            self.patients.append((
                id, f"{first[laws[1500].pick(rnd)]} {last[laws[2500].pick(rnd)]}", rnd.choice((1, 1, 1, 2, 2)),
                f"{2023 - age}-{rnd.randint(1, 12):02}-{rnd.randint(1, 28):02}" if born else "",
                0 if born else age, 0 if born else at, 1,
                f"{rnd.randint(1, 400)} {street}" if rnd.random() < .7 else "",
                villages[laws[66].pick(rnd)], "District one", "State one", clinic, rnd.choice(staff), at))
            for _ in range(4):
                systolic = min(300, max(90, round(rnd.gauss(148, 17))))
                diastolic = min(systolic, max(40, min(180, round(rnd.gauss(90, 10)))))
                self.readings.append((id, _uuid4(rnd), systolic, diastolic, _clinic_time(rnd), clinic,
                                      rnd.choice(staff)))

    def __len__(self):
        return len(self.patients) + len(self.readings)

    def insert(self, connection):
        """Writes all in one transaction through plain SQL, as an app would."""
        with connection:
            connection.executemany(
                "INSERT INTO patient(id, full_name, gender, date_of_birth, age_years,"
                " age_recorded_at_ms, status, street_address, village_or_colony, district, state,"
                " registration_facility_id, recorded_by_user_id, recorded_at_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self.patients)
            connection.executemany(
                "INSERT INTO blood_pressure(patient_id, id, systolic_mmhg, diastolic_mmhg,"
                " recorded_at_ms, facility_id, user_id) VALUES (?, ?, ?, ?, ?, ?, ?)", self.readings)
