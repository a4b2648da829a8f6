-- Lets wrk send the requests of a file, one after another, each thread its share.
-- The signatures were made beforehand, so that making them costs wrk nothing.

local threads = 0

function setup(thread)
   thread:set("number", threads)
   threads = threads + 1
end

function init(args)
   local path, shares = args[1], tonumber(args[2])
   requests, n_requests, at = {}, 0, 0
   local file = assert(io.open(path, "rb"))
   local line = 0
   while true do
      local length = file:read("*l")
      if not length then break end
      local request = file:read(tonumber(length))
      if line % shares == number then
         n_requests = n_requests + 1
         requests[n_requests] = request
      end
      line = line + 1
   end
   file:close()
end

function request()
   at = at % n_requests + 1
   return requests[at]
end
