from shop import charge, pack

paid = charge.apply_async([1999], headers={"skyhooks_account": "acme"})
broke = charge.apply_async([-5], headers={"skyhooks_account": "acme"})
packed = pack.apply_async([["tea", "cup", "spoon"]], headers={"skyhooks_account": "acme"})

print("paid  ", paid.id, paid.get(timeout=30))
print("broke ", broke.id, repr(broke.get(timeout=30, propagate=False)))
print("packed", packed.id, packed.get(timeout=30))
