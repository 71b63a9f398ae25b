// The broker aedes on a free port of 127.0.0.1, which it prints. Takes the folder with node_modules.
import net from 'node:net'
import path from 'node:path'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const folder = path.resolve(process.argv[2], 'package.json')
const { Aedes } = await import(pathToFileURL(createRequire(folder).resolve('aedes')))
const broker = await Aedes.createBroker()
const server = net.createServer(broker.handle)
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
