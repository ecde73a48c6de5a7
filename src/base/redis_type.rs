//! Redis keys that are not what they should be. What is in Redis can be made again, so
//! that a key of another type is deleted, in the script that was to use it.

/// Lua, for the start of a script: `keep(key, type)` deletes the key where it is of another
/// type, and says how many it deleted, 0 or 1.
pub const KEEP: &str = "
local function keep(key, kind)
  local found = redis.call('TYPE', key).ok
  if found == kind or found == 'none' then return 0 end
  return redis.call('UNLINK', key)
end
";
